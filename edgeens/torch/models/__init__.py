"""The networks of the recipes: ordinary modules, so that any conversion can take them."""
