//! Branches of the full mesh that are rarely taken; see [`Mark`](crate::Mark).

crate::marks! {
    MESH_TIE = "mesh-tie": "two members ask each other at once";
    MESH_HELLO_TWICE = "mesh-hello-twice": "a request for a link that stands is accepted again";
    MESH_RENEWED = "mesh-renewed": "a linked member asks for a new link";
    MESH_FULL = "mesh-full": "a full mesh refuses a member";
    MESH_ACCEPT_TOO_LATE = "mesh-accept-too-late": "an answer comes after its request was given up";
    MESH_FILLED = "mesh-filled": "the mesh was filled while an answer was under way";
    MESH_BURIED = "mesh-buried": "a member says goodbye";
    MESH_GHOST = "mesh-ghost": "a word of a member that left";
    MESH_RESTARTED = "mesh-restarted": "a linked member comes back as a new incarnation";
    MESH_HISTORY = "mesh-history": "a word of an incarnation that was followed by another";
    MESH_OVERDUE = "mesh-overdue": "a request is not answered in time";
    MESH_SILENT = "mesh-silent": "a linked member is silent for too long";
    MESH_UNKNOWN_LINK = "mesh-unknown-link": "somebody keeps a link alive that this side does not have";
    MESH_HINT_IGNORED = "mesh-hint-ignored": "there is no room for somebody heard of";
    MESH_FORGOTTEN = "mesh-forgotten": "a member that was down for too long is forgotten";
}
