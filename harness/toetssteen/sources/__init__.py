"""Where items come from besides plain files: public data sets, cases in pairs, a made-up register.

Each module has one source of items or a few of one kind; the registry loads them by name.
"""
