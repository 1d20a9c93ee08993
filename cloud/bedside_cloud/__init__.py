"""The services that store readings, raise alerts and show them to clinicians."""
