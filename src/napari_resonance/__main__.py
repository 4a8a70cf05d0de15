"""``python -m napari_resonance`` is the command ``resonance``."""

from napari_resonance.cli import main

if __name__ == "__main__":
    main()
