"""`/v1/answers`: the evidence of a recent answer, for who asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from app.api.dependencies import find_resources
from app.api.middleware import asked_by
from app.api.problems import declare_failures
from app.api.schemas.answer import AnswerResponse, ChatEvidence
from app.api.strict import StrictRoute
from app.state.recent_answers import RecentAnswers

router = APIRouter(prefix="/v1/answers", tags=["answers"], route_class=StrictRoute)
AnswerId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=80,
        description="The `id` of an answer, or of a chat's completion.",
        examples=["ans_8eb7d86ec111455e8c1dc8904741712c"],
    ),
]


@dataclass(frozen=True, slots=True)
class AnswerKeeper:
    """Keeps what one client is answered, and finds it again for that one."""

    answers: RecentAnswers
    asked_by: str

    def keep(self, reply: AnswerResponse | ChatEvidence) -> str:
        """Keep a reply by its id, and return it as JSON."""
        text = reply.model_dump_json()
        self.answers.keep(self.asked_by, reply.id, text)
        return text


async def _get_keeper(request: Request) -> AnswerKeeper:
    return AnswerKeeper(find_resources(request).recent_answers, asked_by(request.scope))


KeeperDep = Annotated[AnswerKeeper, Depends(_get_keeper)]


@router.get(
    "/{answer_id}",
    response_model=AnswerResponse | ChatEvidence,
    responses=declare_failures(401, 404, 422),
)
async def show_answer(answer_id: AnswerId, keeper: KeeperDep) -> Response:
    """Show an answer again, or the evidence of a chat's reply, as it was given to the same key."""
    found = keeper.answers.find(keeper.asked_by, answer_id)
    return Response(found, media_type="application/json")
