"""What explain tells of a call."""
