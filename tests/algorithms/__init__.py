"""What is particular to one algorithm: its forms, and the program it becomes."""
