"""Ensembles without training each member: one idea a module, each yields ordinary modules.

Their members go on to torch.convert.members_from_modules, as independently trained ones do.
"""
