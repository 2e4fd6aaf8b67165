"""Many runs become one table, and one page."""
