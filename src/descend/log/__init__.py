"""The log of studies: what was asked and what came back, in a file, on a server or in memory."""

from descend.log.log import Log
from descend.log.memory import Memory
from descend.log.row import FINISHED, STATES, Clock, Durability, Report, Row, Worker
from descend.log.store import Store

__all__ = ["FINISHED", "STATES", "Clock", "Durability", "Log", "Memory", "Report", "Row", "Store", "Worker"]
