"""Exams and benchmarks over the public doors of the layers below."""
