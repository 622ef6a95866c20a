"""One run as a record that can be read without us, and as a report in Dutch and English."""
