"""The main job: a pretrained sentence encoder learns what critics mean, by forward passes only."""
