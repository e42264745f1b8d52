"""Where the book is published: the one place that says so.

Both are empty while its authors own no address: whoever registers one that is named here
runs code on the machines of readers. `python -m tools.address` writes them, together with
the files that cannot read them, such as the notebooks. Do not edit them by hand.
"""

# "https://github.com/OWNER/NAME", or empty
REPOSITORY: str = ""

# the built book, "https://OWNER.github.io/NAME/", or empty
SITE: str = ""
