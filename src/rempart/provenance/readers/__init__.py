"""Readers of containers: each takes a format apart and puts what it finds into a :class:`~.gathering.Gathering`.

They look at bytes, never at pixels; every length is checked, every loop ends, nothing is fetched, and an element that
cannot be read is noted and does not keep the others from being read.
"""
