//! Branches of the static overlay that are rarely taken; see [`Mark`](crate::Mark).

crate::marks! {
    @loss STATIC_CONTACT_REFUSED = "static-contact-refused": "a contact finds no place among the neighbours";
    STATIC_TIE = "static-tie": "two peers ask each other at once";
    STATIC_HELLO_TWICE = "static-hello-twice": "a request for a link that stands is accepted again";
    STATIC_RENEWED = "static-renewed": "a neighbour asks for a new link";
    STATIC_FULL = "static-full": "all places are taken, and a peer is refused";
    STATIC_ACCEPT_TOO_LATE = "static-accept-too-late": "an answer comes after its request was given up";
    STATIC_LEFT = "static-left": "a neighbour or contact says goodbye";
    STATIC_RESTARTED = "static-restarted": "a neighbour comes back as a new incarnation";
    STATIC_HISTORY = "static-history": "a word of an incarnation that was followed by another";
    STATIC_OVERDUE = "static-overdue": "a request is not answered in time";
    STATIC_SILENT = "static-silent": "a neighbour is silent for too long";
    STATIC_UNKNOWN_LINK = "static-unknown-link": "somebody keeps a link alive that this side does not have";
    STATIC_GIVEN_UP = "static-given-up": "a link fails and is not repaired";
}
