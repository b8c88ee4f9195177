"""The demo: the main job on real records, with nothing downloaded."""
