"""Many runs become one table, and one page.

The way of the numbers: the runs (`gather`, `runs`) become rows and columns (`tabulate`, `columns`), which make a table
(`table`) with notes below it (`notes`), and the table becomes text (`numbers`, `formats`) or a page (`page`). What is
compared with what, and which setting is chosen, stands in `compare`.
"""
