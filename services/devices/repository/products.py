"""Products: rows that are written once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

from services.devices.domain.products import ProductFile
from services.devices.repository.tenant import TenantRows, among
from services.devices.tables import ProductRow
from services.kit.clock import to_datetime
from services.kit.errors import ConflictError, NotFoundError
from services.kit.page import Page, cut
from services.metering.products import Product, from_document


class Products(TenantRows):
    """Products of one organisation."""

    def add(self, file: ProductFile, now_ms: int) -> bool:
        """Register a product; False when the same content is there already.

        Raises:
            ConflictError: Another content has this code.
        """
        product = file.product
        statement = (
            postgresql.insert(ProductRow)
            .values(
                tenant_id=self._tenant_id,
                code=product.code,
                maker=product.maker,
                commodity=product.commodity,
                digest=file.digest,
                document=file.content,
                created_at=to_datetime(now_ms),
            )
            .on_conflict_do_nothing()
            .returning(ProductRow.code)
        )
        if self._session.scalar(statement) is not None:
            return True
        query = self._select(ProductRow, ProductRow.digest).where(ProductRow.code == product.code)
        if self._session.scalar(query) != file.digest:
            raise ConflictError(
                f"product {product.code!r} is registered with another content; "
                "a changed product is a new product",
                code="product.differs",
            )
        return False

    def content(self, code: str) -> dict[str, Any]:
        """A product's file.

        Raises:
            NotFoundError: There is no product with this code.
        """
        query = self._select(ProductRow, ProductRow.document).where(ProductRow.code == code)
        found: dict[str, Any] | None = self._session.scalar(query)
        if found is None:
            raise NotFoundError(f"no product {code!r}", code="product.not_found")
        return found

    def page(self, page_size: int, after: str) -> Page[dict[str, Any]]:
        """Product files by code, from after code `after`."""
        query = (
            self._select(ProductRow, ProductRow.document)
            .where(ProductRow.code > after)
            .order_by(ProductRow.code)
        )
        found = list(self._session.scalars(query.limit(page_size + 1)))
        return cut(found, page_size, lambda document: (document["code"],))

    def by_code(self, codes: Sequence[str]) -> dict[str, Product]:
        """Those of the products with these codes that are there."""
        query = self._select(ProductRow, ProductRow.document).where(
            among(ProductRow.code, Text(), codes)
        )
        products = (from_document(document) for document in self._session.scalars(query))
        return {product.code: product for product in products}
