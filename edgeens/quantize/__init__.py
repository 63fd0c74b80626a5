"""From floats to codes: grids, bits sharing, drawn members."""
