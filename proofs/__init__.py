"""Why it is so: recoveries as derivations, a small checker that replays them, and reports."""
