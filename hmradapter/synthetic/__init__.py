"""The open world: people whose hands handle objects, their cameras, a ray caster, and writers in real datasets' layouts."""
