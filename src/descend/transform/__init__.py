"""Transforms turn gradients into directions: `x <- x - lr * direction`."""

from descend.transform.adaptive import AdaGrad, Adam, AdamW, NAdam, RMSProp
from descend.transform.average import IterateAverage, averaged
from descend.transform.chain import At, Transform
from descend.transform.clip import ClipNorm, ClipValue
from descend.transform.conjugate import Beta, ConjugateGradient
from descend.transform.decay import WeightDecay
from descend.transform.momentum import HeavyBall, LeakyAverage
from descend.transform.newton import GaussNewton, Newton, NewtonCG
from descend.transform.orthogonal import NewtonSchulz, Orthogonalize, as_adam, polar, spectral
from descend.transform.secant import BFGS, LBFGS, SR1
from descend.transform.sign import Lion, Rprop, Sign
from descend.transform.variance import SVRG
from descend.transform.window import WindowAdam

__all__ = [
    "BFGS",
    "LBFGS",
    "SR1",
    "SVRG",
    "AdaGrad",
    "Adam",
    "AdamW",
    "At",
    "Beta",
    "ClipNorm",
    "ClipValue",
    "ConjugateGradient",
    "GaussNewton",
    "HeavyBall",
    "IterateAverage",
    "LeakyAverage",
    "Lion",
    "NAdam",
    "Newton",
    "NewtonCG",
    "NewtonSchulz",
    "Orthogonalize",
    "RMSProp",
    "Rprop",
    "Sign",
    "Transform",
    "WeightDecay",
    "WindowAdam",
    "as_adam",
    "averaged",
    "polar",
    "spectral",
]
