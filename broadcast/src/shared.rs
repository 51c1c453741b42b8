//! Branches that any broadcast strategy may take, rarely; see [`Mark`](crate::Mark).

murmurate_membership::marks! {
    @loss TOO_MANY_HOPS = "too-many-hops": "a broadcast crossed more links than allowed, and goes no further";
    @loss ORIGINS_FULL = "origins-full": "so many publish that a broadcast of another one is refused";
}
