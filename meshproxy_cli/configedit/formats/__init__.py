"""Configuration files of others, edited in place: only the spans that we own change, every other byte stays.

`document.py` holds the interface and what all formats share; one module per format implements it.
"""
