"""Tables, marts and their columns: names, types, descriptions and the vendor fields behind them.

Imports nothing else from `warehouse`.
"""
