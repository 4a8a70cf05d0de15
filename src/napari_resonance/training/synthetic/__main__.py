"""Run ``python -m napari_resonance.training.synthetic``."""

from napari_resonance.training.synthetic.make import main

if __name__ == "__main__":
    main()
