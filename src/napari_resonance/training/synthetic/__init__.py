"""Networks that learned from drawn pictures and shapes, as a start for small ones.

After formula-driven supervised learning: Kataoka et al., "Pre-training without Natural
Images", ACCV 2020, arXiv:2101.08515. No picture of a patient, and of no licence, is
needed; what a picture was drawn with is known exactly.
"""
