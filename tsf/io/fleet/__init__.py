"""A simulated AI training fleet: causes, not curves; every number is a pure function of the seed and the moment."""
