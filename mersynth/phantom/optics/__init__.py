"""How a head becomes pixels: lights, camera, the triangle that each pixel shows, and the sensor."""
