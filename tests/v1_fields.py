"""The fields that a v1 order can have: Zinc's page "Create Order" of v1 lists them."""

FIELDS = frozenset(
    """
    retailer products products.product_id products.quantity products.seller_selection_criteria
    products.seller_selection_criteria.addon products.seller_selection_criteria.buy_box
    products.seller_selection_criteria.condition_in products.seller_selection_criteria.condition_not_in
    products.seller_selection_criteria.first_party_seller products.seller_selection_criteria.handling_days_max
    products.seller_selection_criteria.international products.seller_selection_criteria.max_item_price
    products.seller_selection_criteria.merchant_id_in products.seller_selection_criteria.merchant_id_not_in
    products.seller_selection_criteria.min_seller_num_ratings
    products.seller_selection_criteria.min_seller_percent_positive_feedback products.seller_selection_criteria.prime
    products.seller_selection_criteria.allow_oos
    shipping_address shipping_address.first_name shipping_address.last_name shipping_address.address_line1
    shipping_address.address_line2 shipping_address.zip_code shipping_address.city shipping_address.state
    shipping_address.country shipping_address.phone_number shipping_address.instructions
    shipping_method shipping shipping.order_by shipping.max_days shipping.max_price
    billing_address billing_address.first_name billing_address.last_name billing_address.address_line1
    billing_address.address_line2 billing_address.zip_code billing_address.city billing_address.state
    billing_address.country billing_address.phone_number billing_address.instructions
    payment_method payment_method.name_on_card payment_method.number payment_method.security_code
    payment_method.expiration_month payment_method.expiration_year payment_method.use_gift
    retailer_credentials retailer_credentials.email retailer_credentials.password retailer_credentials.totp_2fa_key
    addax is_gift gift_message require_gift
    webhooks webhooks.request_succeeded webhooks.request_failed webhooks.tracking_obtained webhooks.tracking_updated
    webhooks.status_updated webhooks.case_updated
    client_notes
    promo_codes promo_codes.code promo_codes.optional promo_codes.merchant_id promo_codes.discount_amount
    promo_codes.discount_percentage promo_codes.cost_override
    strict_expired_product_id po_number amazon_day fail_if_taxed max_delivery_days take_buybox_offers
    force_offers_postal_code zma_discount addax_queue_timeout zma_prime_optout zma_priority_bid max_price
    """.split()
)
