"""Linear programming in exact arithmetic: is there a solution without negative numbers?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from midpo.symbolic.work import spend

Row = list[Fraction]


def nonnegative_solution(rows: Sequence[Row], values: Sequence[Fraction]) -> Row | None:
    """An x >= 0 with rows*x = values, or None if there is none.

    The simplex method's first phase with Bland's rule, which cannot cycle.
    Raises: TooLarge where it takes more work than is allowed.
    """
    count = len(rows[0])
    # One slack variable a row; their sum is driven to 0.
    table = []
    for i, (row, value) in enumerate(zip(rows, values, strict=True)):
        sign = -1 if value < 0 else 1
        slack = [Fraction(int(i == j)) for j in range(len(rows))]
        table.append([*(sign * a for a in row), *slack, sign * value])
    basis = [count + i for i in range(len(rows))]
    cost = [-sum(column) for column in zip(*table, strict=True)]
    cost[count:-1] = [Fraction(0)] * len(rows)
    while (entering := next((j for j in range(count) if cost[j] < 0), None)) is not None:
        spend(1 + len(table) * len(cost) // 100)
        ratios = [(row[-1] / row[entering], basis[i], i) for i, row in enumerate(table) if row[entering] > 0]
        _, _, leaving = min(ratios)  # the sum of slacks is bounded, so that there is one
        basis[leaving] = entering
        pivot = table[leaving] = [a / table[leaving][entering] for a in table[leaving]]
        for i, row in enumerate(table):
            if i != leaving and row[entering]:
                table[i] = [a - row[entering] * b for a, b in zip(row, pivot, strict=True)]
        cost = [a - cost[entering] * b for a, b in zip(cost, pivot, strict=True)]
    if cost[-1] != 0:
        return None
    solution = dict(zip(basis, (row[-1] for row in table), strict=True))
    return [solution.get(j, Fraction(0)) for j in range(count)]
