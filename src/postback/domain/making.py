"""How what is made for every event and every delivery is made: `made(Claim, (event, config_id, …))`.

To call a named tuple runs Python that only puts its arguments into a tuple, at twice the cost. All fields have to be
given, in their order; where it is not done for each of a million, call the class.
"""

from typing import Final

made: Final = tuple.__new__
