"""What holds of the repository as a whole: its architecture, README, notebooks and tests."""
