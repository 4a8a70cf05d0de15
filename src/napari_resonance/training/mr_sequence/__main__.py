"""Run ``python -m napari_resonance.training.mr_sequence``."""

from napari_resonance.training.mr_sequence.make import main

if __name__ == "__main__":
    main()
