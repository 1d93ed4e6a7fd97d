throw "There is no group with the address ${GroupAddress}: make it, or leave out --group, and the script makes one."
