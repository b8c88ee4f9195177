"""What `vecmill init PATH` makes of records that nobody has described: guesses with reasons.

`looking` looks at a path, bounded in time and bytes; all that decides is plain functions over what
it saw; `writing` makes sections of a configuration of it.
"""
