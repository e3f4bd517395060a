"""Our cross-encoder beside ModelScope's pipeline and the usual other ways: the parts of ``bench_engine``."""
