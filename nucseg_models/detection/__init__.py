"""What Mask R-CNN is made of: maps at five scales, regions, heads, matching, detections."""
