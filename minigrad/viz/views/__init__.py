"""Views of models: what layers look for and find, what a prediction hangs on, where models go
wrong.
"""

from .confusion import confusion_matrix
from .decision import decision_map
from .filters import feature_maps, filters
from .patch import patch_product
from .pooling import pooling_winners
from .review import Review, review
from .saliency import saliency
