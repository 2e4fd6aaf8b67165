"""Published tables: CSV files with the columns dataset, objective, key, value, stderr, source and selected_on."""
