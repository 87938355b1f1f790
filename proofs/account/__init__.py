"""What is claimed of a spec, and on what standing.

    claim  a statement with its standing, and the claims of one topic
"""
