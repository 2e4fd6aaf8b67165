"""What a training records as it goes: its terms, how far it is, and what it tells the trackers."""
