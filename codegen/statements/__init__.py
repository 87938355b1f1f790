"""Lines of kernels as data, until they are printed.

c       nodes -> statements of C
nodes   what a line is: names, calls, sums, assignments, and questions to them
python  nodes -> lines of Python, long ones broken where their structure is
quote   a piece of Python with holes -> nodes
"""
