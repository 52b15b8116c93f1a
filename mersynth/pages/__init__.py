"""Parts of self-contained HTML pages: frame and style, SVG charts, embedded pictures."""
