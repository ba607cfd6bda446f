"""Real data from installed packages and frozen files, and data made up without end: nothing is downloaded."""
