"""What self-contained pages share: frame and style, charts drawn as SVG, pictures within a page."""
