"""What the patient hears and sees at home: sound, light and speech."""
