drop function published_since;
