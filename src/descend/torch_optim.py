"""The torch.optim.Optimizer face: estimators, transforms and a step rule over the live parameters of a model.

Where every transform is separable and the step is fixed, the update walks through the parameters block by block and
nothing of size d is made beyond the transforms' own memory. Otherwise the parameters are gathered into one flat
point, one step of `Descent` is made there, and the result is written back.
"""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from descend.descent import Descent, DescentState, split_parts
from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.estimate.base import Estimator
from descend.estimate.gains import Gains, calibrate
from descend.key import Key, as_key
from descend.layout import Parameters
from descend.oracle import Asks, Closure, Ledger, OnFailure, Oracle, Slope, check_answers, trainable
from descend.step.fixed import Fixed
from descend.update import Blocks

__all__ = ["Optimizer"]
