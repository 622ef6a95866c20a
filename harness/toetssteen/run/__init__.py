"""Plan, collect, mark: what will be asked, asking it, and what the answers are worth."""
