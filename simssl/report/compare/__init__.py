"""What a report compares: settings of a method, methods, and published values."""
