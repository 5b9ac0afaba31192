def check(faults): pass
